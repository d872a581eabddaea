"""Who runs the stages of collecting: this process, or a cluster. Everything they make goes through one store."""
