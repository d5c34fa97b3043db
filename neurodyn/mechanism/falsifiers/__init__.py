"""Systems that have a claim, lack it, or mimic it: how often each rule is right.  See the experiment falsifiers."""
