"""Network parts, samplers and augmentations that more than one method may want."""
