"""The neuron core: synapse engine, neuron engine, configuration and counters, wired."""
