"""The synapse engine: events become rows of multiply-accumulates."""
