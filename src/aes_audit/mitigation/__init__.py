"""Mitigation: adapters that teach a generator to follow wide prompts again, learnt from pictures that follow theirs."""

__all__: list[str] = []
