-- What the owner has read and others may search: documents of the owner with low <= source < high, also later ones. A
-- path has a row for each way in which the sources below it are written. `whom` is 'everyone', or the kind and the id of a
-- principal, as in 'person:ann'.
CREATE TABLE shares (
    path  TEXT NOT NULL,
    whom  TEXT NOT NULL,
    low   TEXT NOT NULL,
    high  TEXT NOT NULL,
    since TEXT NOT NULL,
    PRIMARY KEY (whom, path, low, high)
) WITHOUT ROWID;
