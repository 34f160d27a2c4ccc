"""The items of the contract, numbered as in the design. Each is a plain async function that takes a rig."""
