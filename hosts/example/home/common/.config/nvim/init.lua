vim.o.number = true
vim.o.expandtab = true
vim.o.shiftwidth = 4
