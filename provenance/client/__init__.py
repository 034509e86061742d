"""The SDK: record samples from a pipeline, load verified releases. Imports no server code."""
