// Package arch holds no code: its test walks the imports of every package and fails on an arrow that points the wrong
// way, on a file that grew too long, and on a package without a place in the picture.
package arch
