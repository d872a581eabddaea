"""The command line beside pytest: `aes-audit score`."""
