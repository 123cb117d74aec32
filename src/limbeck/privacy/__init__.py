"""What a formal guarantee rests on."""
