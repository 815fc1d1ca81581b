/* Stand-in: nothing of it is named in PostgreSQL's headers. */
