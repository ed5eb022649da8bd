-- Lmod module file: put it at <modulefiles>/paceline/0.1.0.lua and the binary at <prefix>/paceline/0.1.0/bin/paceline.
help([[paceline: a cluster scheduler for batch machine learning. Start with `paceline help`.]])
whatis("Name: paceline")
whatis("Description: batch machine learning over many nodes, one model copy a node")
local prefix = os.getenv("PACELINE_PREFIX") or "/opt/paceline"
prepend_path("PATH", pathJoin(prefix, "paceline", "0.1.0", "bin"))
prepend_path("MANPATH", pathJoin(prefix, "paceline", "0.1.0", "share/man"))
