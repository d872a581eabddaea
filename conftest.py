"""What pytest needs at the root: the audits' plugin is an entry point, the tests drive pytest themselves."""

pytest_plugins = ["pytester"]
