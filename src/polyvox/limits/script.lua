-- polyvox_limits_v1: the arithmetic of polyvox/limits/accounts.py, in one step for several accounts.
--
-- KEYS[1]  the reservation; the other keys are accounts, one each
-- ARGV[1]  "reserve" or "settle"
-- ARGV     seven words for each account:
--            kind    "leak", "window" or "total"
--            a b c   leak: seconds of a period; window: its number, start and end, by the caller's
--                    clock. Which window it is is decided by this server's clock.
--            limit
--            amount  what is to be reserved, or was used
--            soft    "1": debited even where it does not fit

local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local OPEN_SECONDS, SETTLED_SECONDS = 86400, 600
local SPARE_SECONDS, LONGEST_SECONDS = 60, 3e8

local function text(number)
  return string.format('%.17g', number)
end

local function mark_now(account)
  if account.kind == 'leak' then
    return now
  elseif account.kind == 'total' then
    return 0
  elseif now >= account.c then
    return account.a + 1
  elseif now < account.b then
    return account.a - 1
  end
  return account.a
end

-- The periods from one mark to another.
local function periods(account, from, to)
  local passed = math.max(0, to - from)
  return account.kind == 'leak' and passed / account.a or passed
end

local function load(place)
  local at = 2 + (place - 1) * 7
  local account = {
    key = KEYS[place + 1],
    kind = ARGV[at],
    a = tonumber(ARGV[at + 1]), b = tonumber(ARGV[at + 2]), c = tonumber(ARGV[at + 3]),
    limit = tonumber(ARGV[at + 4]),
    amount = tonumber(ARGV[at + 5]),
    soft = ARGV[at + 6] == '1',
  }
  local stored = redis.call('HMGET', account.key, 'used', 'held', 'mark')
  account.used = tonumber(stored[1] or '0')
  account.held = tonumber(stored[2] or '0')
  local present = mark_now(account)
  local mark = tonumber(stored[3] or text(present))
  local passed = periods(account, mark, present)
  if passed > 0 then
    account.used = math.max(0, account.used - account.limit * passed)
    if passed >= 1 then account.held = 0 end
  end
  -- A window never comes back, when clocks disagree; a leak goes on from any time.
  account.mark = account.kind == 'leak' and present or math.max(mark, present)
  return account
end

-- For how many seconds there is something to remember; nil: for ever.
local function lifetime(account)
  if account.kind == 'total' or account.limit <= 0 then return nil end
  local debts = account.used / account.limit
  local seconds = debts * account.a
  if account.kind == 'window' then
    seconds = (account.c - account.b) * (1 + math.ceil(debts))
  end
  return math.min(math.ceil(seconds) + SPARE_SECONDS, LONGEST_SECONDS)
end

local function save(account)
  redis.call('HSET', account.key,
    'used', text(account.used), 'held', text(account.held), 'mark', text(account.mark))
  local seconds = lifetime(account)
  if seconds then
    redis.call('EXPIRE', account.key, seconds)
  else
    redis.call('PERSIST', account.key)
  end
end

local accounts = {}
local answer = { text(now) }

if ARGV[1] == 'reserve' then
  if redis.call('EXISTS', KEYS[1]) == 1 then return answer end
  local refused = false
  for place = 1, #KEYS - 1 do
    local account = load(place)
    accounts[place] = account
    if account.amount > 0 and account.used + account.amount > account.limit then
      refused = refused or not account.soft
      answer[#answer + 1] = text(place - 1)
      answer[#answer + 1] = text(account.used)
      answer[#answer + 1] = text(account.held)
    end
  end
  if refused then return answer end
  local record = {}
  for _, account in ipairs(accounts) do
    account.used = account.used + account.amount
    account.held = account.held + account.amount
    save(account)
    record[#record + 1] = text(account.amount)
    record[#record + 1] = text(account.mark)
  end
  redis.call('SET', KEYS[1], table.concat(record, ' '), 'EX', OPEN_SECONDS)
  return answer
end

local record = redis.call('GET', KEYS[1])
if record == 'settled' then return answer end
local numbers = {}
for number in string.gmatch(record or '', '%S+') do
  numbers[#numbers + 1] = tonumber(number)
end
for place = 1, #KEYS - 1 do
  local account = load(place)
  -- A reservation that was lost reserved nothing.
  local reserved = numbers[2 * place - 1] or 0
  local passed = periods(account, numbers[2 * place] or account.mark, account.mark)
  if passed < 1 then account.held = math.max(0, account.held - reserved) end
  local unused = reserved - account.amount
  if unused > 0 then unused = math.max(0, unused - account.limit * passed) end
  account.used = math.max(0, account.used - unused)
  save(account)
end
redis.call('SET', KEYS[1], 'settled', 'EX', SETTLED_SECONDS)
return answer
