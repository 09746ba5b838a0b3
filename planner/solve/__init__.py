"""The engine: bounds by column generation, plans by guided search; the only user of HiGHS."""
