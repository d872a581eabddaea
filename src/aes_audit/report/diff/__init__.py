"""What changed between two runs: matched, paired where that is fair, and said in a terminal, in Markdown, on a page."""
