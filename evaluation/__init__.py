"""Quality of panoptic segmentations: how prediction and truth are compared. See README.md."""
