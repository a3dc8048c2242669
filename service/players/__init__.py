"""The provider's side of each dialect, for replaying recordings; one file a dialect."""
