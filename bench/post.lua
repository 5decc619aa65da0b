-- wrk: post the file named by the environment variable PICTURE as the body of every request, or, if COPIES is
-- more than 1, that many copies of it as the files of a form. The last line of the output is JSON, in milliseconds.
-- wrk itself adds what requests would have seen that a slow answer kept from being sent.
local file = assert(io.open(os.getenv("PICTURE"), "rb"))
local picture = file:read("*a")
file:close()

wrk.method = "POST"
local copies = tonumber(os.getenv("COPIES") or "1")
if copies > 1 then
  local boundary = "----------------picture----------------"
  local part = "--" .. boundary .. "\r\nContent-Disposition: form-data; name=\"image\"; filename=\"a.jpg\"\r\n"
    .. "Content-Type: image/jpeg\r\n\r\n" .. picture .. "\r\n"
  wrk.body = part:rep(copies) .. "--" .. boundary .. "--\r\n"
  wrk.headers["Content-Type"] = "multipart/form-data; boundary=" .. boundary
else
  wrk.body = picture
  wrk.headers["Content-Type"] = "image/jpeg"
end

function done(summary, latency, _)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format(
    '{"rate": %f, "p50": %f, "p99": %f, "requests": %d, "failed": %d}\n',
    summary.requests / (summary.duration / 1e6), latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    summary.requests, failed))
end
