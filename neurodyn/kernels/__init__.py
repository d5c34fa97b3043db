"""Pure array functions, one time step each where time is involved; everything else in the package stands on them."""
