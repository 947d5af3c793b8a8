module github.com/holdfast-project/holdfast

go 1.26.8
