"""Network services: where share servers get their addresses and segmentation ids from."""
