"""People as judges: blinded sheets for them, and their answers as evidence."""
