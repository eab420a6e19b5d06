"""Models from elsewhere: what they are, and bundles made of them."""
