"""The user's documents: what is read, how it is cut, where it is kept and how it is found.

walk       the files under a path, in order
readers    a file becomes text, or a reason why not
outline    the headings and the code of a Markdown text (pure)
chunks     a text becomes pieces of about a hundred words along its headings (pure)
reading    the child process that reads and cuts files, with limits on time and memory
apart      asks that child, and goes on with the next file if one of them ends it
documents  the tables of documents.db: documents, chunks, full-text index
turnstile  how much is done at once, and for whom
ingest     brings the documents under a path up to date (`ports.documents.DocumentView`)
search     finds the passages for a question (`ports.Documents`)

The flow: walk -> apart -> (reading: readers -> chunks) -> documents <- search. Open the file as
`Store(state_dir / "documents.db", load_migrations("agentd.retrieval"))`.
"""
