"""Publish and subscribe, and the live events of one session with a bounded replay."""
