"""What ``talon board bundle`` packs for a board without internet."""
