"""The logical plan: data only. The pipeline layer writes it, engines read it."""
