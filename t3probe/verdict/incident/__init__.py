"""One run: its drops, which belong together, and what clears whom."""
