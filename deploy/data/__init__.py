"""Photos and boxes: reading, checking, augmenting, filling in what nobody annotated."""
