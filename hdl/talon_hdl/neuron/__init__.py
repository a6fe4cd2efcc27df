"""The neuron engine: groups of neurons are updated and send their packets."""
