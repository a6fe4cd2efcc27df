"""What the silicon is: parameters, layouts, packets, registers, and the numeric contract.

Standard library only; every other room may import it.
"""
