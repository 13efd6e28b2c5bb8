EDITS = ()
