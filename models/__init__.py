"""VPSNet FuseTrack in plain torch: tensors in, tensors out. Nothing else of the project is imported here."""
