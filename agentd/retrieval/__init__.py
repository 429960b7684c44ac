"""The user's documents: what is read, how it is cut, where it is kept and how it is found.

walk       the files under a path, in order
readers    a file becomes text, or a reason why not
chunks     a text becomes pieces of about a hundred words along its headings (pure)
documents  the tables of documents.db: documents, chunks, full-text index
ingest     brings the documents under a path up to date (`ports.DocumentView`)
search     finds the passages for a question (`ports.Documents`)

The flow: walk -> readers -> chunks -> documents <- search. Open the file as
`Store(state_dir / "documents.db", load_migrations("agentd.retrieval"))`.
"""
