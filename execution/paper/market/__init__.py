"""Room: generated and recorded markets."""
