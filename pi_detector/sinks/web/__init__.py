"""The page to look at: live picture, events, and the places that are drawn."""
