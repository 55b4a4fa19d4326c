"""Many labs on one queue: PostgreSQL holds results and jobs, agents in labs measure."""
