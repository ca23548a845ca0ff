package db

// Seal is for tests that write records as the store does.
var Seal = seal
