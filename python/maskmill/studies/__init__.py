"""One room per scientific family of data sets. A study composes general verbs, and owns only what is its own."""
