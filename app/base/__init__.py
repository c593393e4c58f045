"""Words all rooms share: errors, money, settings and the frozen records that cross rooms. Uses nothing of ours."""
