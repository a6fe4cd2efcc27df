# The array touches no pin: everything goes through the processing system, whose clock and whose
# constraints come with its block. Left to say is how the bitstream is written.
set_property BITSTREAM.GENERAL.COMPRESS TRUE [current_design]
