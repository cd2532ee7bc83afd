-- main.lua: runs one script; miltertest itself does not say what went wrong.
local ok, why = xpcall(function()
	dofile(here .. "/lib.lua")
	dofile(script)
end, function(e)
	return debug and debug.traceback(e) or e
end)
if not ok then
	print(why)
	error(why)
end
