//! Who may call: the contract's table, cell by cell, through the public origin.
