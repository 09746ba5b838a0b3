"""From the engine's numbers to the answer in domain terms: `build.build_plan`."""
