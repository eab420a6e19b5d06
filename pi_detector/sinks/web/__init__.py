"""The web page: live view, events, and the editor of zones, lines and masks."""
