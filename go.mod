module github.com/holdfast-project/holdfast

go 1.26.8

require (
	github.com/google/go-cmp v0.7.0 // indirect
	golang.org/x/oauth2 v0.37.0 // indirect
)
